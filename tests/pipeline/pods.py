"""A Kubernetes cluster as its clients see it: the API for Secrets, Jobs and pods.

The executor that `profiles/kubernetes` names talks to it. A pod is a process on this machine, in a
new empty folder, with the variables that its container declares and no others. The answers to the
executor's requests are those of Kubernetes 1.30; there is no scheduler, no image and no quota.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from kubernetes.client import ApiClient
from kubernetes.utils.quantity import parse_quantity

Object = dict[str, Any]
PATH = re.compile(
    r"/(?:api|apis/batch)/v1/namespaces/[^/]+/(?P<kind>secrets|jobs|pods)"
    r"(?:/(?P<name>[^/]+)(?:/(?P<part>status|log))?)?"
)
TOOLS = Path(sys.executable).parent
IMAGE_VARIABLES = ("LANG", "OMP_NUM_THREADS", "PYTHONHASHSEED")
"""Variables that every pod has, as if they were set in the image"""
KILLED = "Killed"
"""The output of a pod that ran out of memory"""


class Refusal(Exception):
    """A request that Kubernetes would refuse: the status and the reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class Pod:
    """A pod that was started for a Job: its process, and the file that this writes to."""

    job: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def exit_code(self) -> int | None:
        """As a container reports it, 128 + N after signal N; None while it runs."""
        code = self.process.poll()
        return 128 - code if code is not None and code < 0 else code

    @property
    def description(self) -> Object:
        """The pod as `kubectl get --output=json` shows it."""
        code = self.exit_code
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        container = {"name": "snakemake", "image": "genlab", "imageID": "", "ready": code is None}
        statuses = [container | {"restartCount": 0, "state": state}]
        metadata = {"name": f"{self.job}-pod", "labels": {"job-name": self.job}}
        return {"metadata": metadata, "status": {"containerStatuses": statuses}}

    def end(self) -> None:
        """Kill all processes of the pod."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@dataclass
class Cluster:
    """The objects that exist, by name; `submitted` keeps every Job that was ever created.

    The first pod of the rule `kills` ends with exit code 137, as if it ran out of memory.
    """

    folder: Path
    kills: str = ""
    secrets: dict[str, Object] = field(default_factory=dict)
    jobs: dict[str, Object] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    submitted: list[Object] = field(default_factory=list)

    @property
    def kubeconfig(self) -> Path:
        """The file that KUBECONFIG names."""
        return self.folder / "kubeconfig.yaml"

    @contextmanager
    def running(self) -> Iterator[Cluster]:
        """Serve the API until the block ends."""
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length) or "{}")
                try:
                    status, content = 200, cluster.answer(self.command, self.path, body)
                except Refusal as refusal:
                    status, content = refusal.status, {"message": str(refusal)}
                except Exception:  # without an answer the executor would wait for five minutes
                    status, content = 500, {"message": traceback.format_exc()}
                text = content if isinstance(content, str) else json.dumps(content)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *arguments: Any) -> None:
                """Log no requests."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            address = f"http://127.0.0.1:{server.server_port}"
            config = {
                "current-context": "here",
                "clusters": [{"name": "here", "cluster": {"server": address}}],
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
                "users": [{"name": "me", "user": {}}],
            }
            self.kubeconfig.write_text(yaml.safe_dump(config), encoding="utf-8")
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()
                for pod in self.pods.values():
                    pod.end()

    def answer(self, method: str, address: str, body: Object) -> Object | str:
        """The answer to a request, as JSON or text.

        Raises:
            Refusal: nothing like this exists, or Kubernetes would refuse it.
        """
        path, options = urlsplit(address), parse_qs(urlsplit(address).query)
        match = PATH.fullmatch(path.path)
        if not match:
            raise Refusal(404, f"no such path: {path.path}")
        kind, name, part = match["kind"], match["name"], match["part"]
        if method == "POST" and kind == "secrets":
            self.secrets[body["metadata"]["name"]] = body
            return body
        if method == "POST" and kind == "jobs":
            return self.submit(body)
        if method == "GET" and kind == "pods" and not name:
            job = options["labelSelector"][0].removeprefix("job-name=")
            pods = [pod.description for pod in self.pods.values() if pod.job == job]
            return {"metadata": {}, "items": pods}
        objects: dict[str, Any] = getattr(self, kind)
        if name not in objects:
            raise Refusal(404, f'{kind} "{name}" not found')
        if method == "DELETE":
            if kind == "pods":
                self.pods[name].end()
            del objects[name]
            return {"status": "Success"}
        if kind == "jobs":
            return self.jobs[name] | {"status": self.job_status(name)}
        if part != "log":
            raise Refusal(405, f"{method} of {path.path}")
        if "previous" in options:  # a container that is never restarted has no previous one
            raise Refusal(
                400, f'previous terminated container "snakemake" in pod "{name}" not found'
            )
        return self.pods[name].log.read_text(encoding="utf-8")

    def job_status(self, name: str) -> Object:
        """How many pods of a Job run, ended well, and failed."""
        codes = [pod.exit_code for pod in self.pods.values() if pod.job == name]
        if None in codes:
            return {"active": 1}
        return {"failed": 1} if any(codes) else {"succeeded": 1}

    def submit(self, job: Object) -> Object:
        """Start the pod of a Job.

        Raises:
            Refusal: the description of the Job is invalid.
        """
        try:
            ApiClient().deserialize(SimpleNamespace(data=json.dumps(job)), "V1Job")
        except ValueError as error:
            raise Refusal(422, str(error)) from error
        name, pod = job["metadata"]["name"], job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{,61}[a-z0-9])?", name):
            raise Refusal(422, f"metadata.name: {name}")
        check_resources(container["resources"])
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for mount in container["volumeMounts"]:
            if mount["name"] not in volumes:
                raise Refusal(422, f"volumeMounts.name: {mount['name']}")
            if "persistentVolumeClaim" in volumes[mount["name"]]:
                Path(mount["mountPath"]).mkdir(exist_ok=True)
            elif mount["mountPath"] != container["workingDir"]:
                raise Refusal(422, f"workingDir: {container['workingDir']} is no volume")
        folder = self.folder / name
        folder.mkdir()
        command = [*container["command"], *container["args"]]
        if self.kills and runs(container, self.kills):
            self.kills, command = "", ["/bin/sh", "-c", f"echo '{KILLED}'; exit 137"]
        log = self.folder / f"{name}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={key: os.environ[key] for key in IMAGE_VARIABLES if key in os.environ}
                | {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)}
                | dict(map(self.variable, container["env"])),
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.jobs[name] = job
        self.submitted.append(job)
        self.pods[f"{name}-pod"] = Pod(name, process, log)
        return job

    def containers(self, rule: str) -> list[Object]:
        """The containers of all Jobs of a rule that ever were, in their order."""
        every = (job["spec"]["template"]["spec"]["containers"][0] for job in self.submitted)
        return [each for each in every if runs(each, rule)]

    def variable(self, declared: Object) -> tuple[str, str]:
        """The name and the value of a variable that a container declares."""
        source = declared["valueFrom"]["secretKeyRef"]
        value = self.secrets[source["name"]]["data"][source["key"]]
        return declared["name"], base64.b64decode(value).decode()


def runs(container: Object, rule: str) -> bool:
    """Whether a container runs a job of this rule."""
    return f"'{rule}:" in container["args"][-1]


def check_resources(resources: dict[str, dict[str, str]]) -> None:
    """Compare what a container requests with its limits.

    Raises:
        Refusal: a request is above its limit; or of an extended resource, such as a GPU, the two
            differ.
    """
    requests, limits = resources["requests"], resources.get("limits", {})
    for name, request in requests.items():
        extended = "/" in name
        if name not in limits:
            if extended:
                raise Refusal(422, f"{name}: limit must be set for non overcommitable resources")
            continue
        requested, limit = parse_quantity(request), parse_quantity(limits[name])
        if requested > limit or (extended and requested != limit):
            raise Refusal(422, f"{name}: request {request}, limit {limits[name]}")
