"use strict";
// Tables of the class `sortable` are sorted by a click on a head: numbers by size, words after them.

const number = text => text === "" || Number.isNaN(Number(text)) ? null : Number(text);
const valueOf = cell => cell.dataset.raw ?? cell.textContent.trim();

// A button in every head, so that it works with the keyboard as well.
function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const sort = (head, column) => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    table.classList.add("sorted");
    const key = row => number(valueOf(row.cells[column])) ?? valueOf(row.cells[column]);
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1; // numbers first
      const order = typeof x === "number" ? x - y : x.localeCompare(y);
      return up ? order : -order;
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  };
  heads.forEach((head, column) => {
    if (head.classList.contains("still")) return;
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(head, column));
  });
}

document.querySelectorAll("table.sortable").forEach(makeSortable);
