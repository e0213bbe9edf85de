// Behaviour of the page, after sorting.js: filters, columns to choose, grids side by side, the quiz.
// Everything is readable without it.

// Filters: a choice for every head with `data-filter`, which may name the value shown first.
function addFilters(table, form) {
  const heads = [...table.tHead.rows[0].cells];
  const choices = new Map();
  const update = () => {
    for (const row of table.tBodies[0].rows)
      row.hidden = [...choices].some(([column, select]) =>
        select.value !== "" && valueOf(row.cells[column]) !== select.value);
  };
  heads.forEach((head, column) => {
    if (head.dataset.filter === undefined) return;
    const values = [...new Set([...table.tBodies[0].rows].map(row => valueOf(row.cells[column])))];
    if (values.length < 2) return;
    const label = document.createElement("label"), select = document.createElement("select");
    select.append(new Option("all", ""), ...values.map(value => new Option(value, value)));
    select.value = head.dataset.filter;
    select.setAttribute("aria-label", head.textContent);
    select.addEventListener("change", update);
    label.append(head.textContent + " ", select);
    form.append(label);
    choices.set(column, select);
  });
  update();
}

// Columns: a box for every head; those that are hidden at first are not checked.
function addColumnChoice(table, form) {
  const details = document.createElement("details"), summary = document.createElement("summary");
  summary.textContent = "Choose columns";
  const boxes = document.createElement("div");
  boxes.className = "boxes";
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = !head.hidden;
    box.addEventListener("change", () => {
      for (const row of table.rows) row.cells[column].hidden = !box.checked;
    });
    label.append(box, " " + head.textContent);
    boxes.append(label);
  });
  details.append(summary, boxes);
  form.append(details);
}

for (const table of document.querySelectorAll("table.filtered")) {
  const form = document.createElement("form");
  form.className = "filters";
  form.addEventListener("submit", event => event.preventDefault());
  table.closest(".scroll").before(form);
  addFilters(table, form);
  addColumnChoice(table, form);
}
// Boxes that scroll sideways can be reached and scrolled by the keyboard.
for (const box of document.querySelectorAll(".scroll")) {
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Table in " + box.closest("section").querySelector("h2").textContent);
}

// A link into a folded part unfolds it; printing unfolds nothing.
const unfold = () => {
  const target = document.getElementById(location.hash.slice(1));
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
};
addEventListener("hashchange", unfold);
unfold();

// Two grids of samples side by side: the pictures are those of the page.
for (const form of document.querySelectorAll(".compare")) {
  const grids = [...form.parentElement.querySelectorAll("img[data-row]")];
  if (grids.length < 2) continue;
  form.hidden = false;
  form.querySelectorAll("select").forEach((select, i) => {
    const picture = form.querySelector(`img[data-side="${select.dataset.side}"]`);
    const show = () => {
      picture.src = grids[select.selectedIndex].src;
      picture.alt = grids[select.selectedIndex].alt;
    };
    select.append(...grids.map(grid => new Option(grid.dataset.row)));
    select.selectedIndex = i;
    select.addEventListener("change", show);
    show();
  });
}

// The quiz: two pictures a round, the score, and at the end who fooled the reader.
for (const quiz of document.querySelectorAll(".quiz")) {
  const rounds = JSON.parse(quiz.dataset.rounds);
  const results = new Map();
  let right = 0;
  const element = (tag, text = "") => Object.assign(document.createElement(tag), { textContent: text });
  const finish = () => {
    const list = element("ul");
    for (const [name, [correct, all]] of results)
      list.append(element("li", `${name}: told from real images ${correct} of ${all} times`));
    const again = element("button", "Start again");
    again.addEventListener("click", () => { right = 0; results.clear(); play(0); });
    quiz.replaceChildren(element("p", `You chose the real image ${right} of ${rounds.length} times.`), list, again);
  };
  const play = i => {
    if (i === rounds.length) return finish();
    const { pictures, real, row } = rounds[i];
    const message = element("p", `Round ${i + 1} of ${rounds.length}, ${right} right so far`);
    message.setAttribute("aria-live", "polite");
    const choices = pictures.map((picture, side) => {
      const button = element("button"), image = element("img");
      image.src = picture;
      image.alt = ["left image", "right image"][side];
      image.addEventListener("load", () => {
        image.width = image.naturalWidth * Math.max(1, Math.round(quiz.dataset.side / image.naturalWidth));
      });
      button.append(image);
      button.addEventListener("click", () => {
        const correct = side === real, [before, all] = results.get(row) ?? [0, 0];
        results.set(row, [before + correct, all + 1]);
        right += correct;
        message.textContent = `${correct ? "Right" : "Wrong"}: ${row} drew the ${["right", "left"][real]} one.`;
        choices.forEach((choice, n) => {
          choice.disabled = true;
          choice.classList.toggle("real", n === real);
        });
        const next = element("button", i + 1 < rounds.length ? "Next round" : "Result");
        next.addEventListener("click", () => play(i + 1));
        quiz.append(next);
        next.focus();
      });
      return button;
    });
    const pair = element("div");
    pair.className = "pair";
    pair.append(...choices);
    quiz.replaceChildren(message, pair);
  };
  play(0);
}
