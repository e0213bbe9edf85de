"""An executor that runs each job as Kubernetes would: in an empty folder, with declared variables.

Snakemake finds it by its name where its folder is on the path. It takes the place of
`snakemake-executor-plugin-kubernetes`, with the same settings, on a machine without a cluster.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.settings import CommonSettings

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=True,
    job_deploy_sources=True,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=True,
)
IMAGE = ("PATH", "LANG", "OMP_NUM_THREADS", "PYTHONHASHSEED")
"""Variables that belong to the environment of every job, as if they were set in an image."""


class Executor(RemoteExecutor):
    def __post_init__(self) -> None:
        self.place = tempfile.TemporaryDirectory(prefix="pods-")

    def run_job(self, job: JobExecutorInterface) -> None:
        folder = Path(self.place.name) / f"{job.jobid}-{job.attempt}"
        folder.mkdir()
        image = {name: os.environ[name] for name in IMAGE if name in os.environ}
        with (folder / "said.txt").open("w") as file:
            process = subprocess.Popen(
                ["/bin/sh", "-c", self.format_job_exec(job)],
                cwd=folder,
                env=image | {"HOME": str(folder)} | self.envvars(),
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self.report_job_submission(SubmittedJobInfo(job=job, aux={"pod": (process, folder)}))

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        for info in active_jobs:
            process, folder = info.aux["pod"]
            if process.poll() is None:
                yield info
            elif process.returncode == 0:
                self.report_job_success(info)
            else:
                self.report_job_error(info, msg=(folder / "said.txt").read_text())

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        for info in active_jobs:
            info.aux["pod"][0].terminate()
