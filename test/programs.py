"""The package's executables as processes, and what recordings hold."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import domains
from rosbags.rosbag2 import Reader

START_NS = 1_600_000_000 * 10**9
TOPICS = ('/visible/image_raw', '/thermal/image_raw', '/visible/camera_info')
ENVIRONMENT = {
    **os.environ,
    **domains.ENVIRONMENT,
    'ROS_DOMAIN_ID': str(domains.own_domain()),
    'PYTHONUNBUFFERED': '1',
}


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, '-m', f'ldfusion_ros.{program}', *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[str], number: signal.Signals | None = None) -> tuple[int, str, str]:
    if number:
        process.send_signal(number)
    output, errors = process.communicate(timeout=180)
    return process.returncode, output, errors


def messages_of(bag: Path) -> dict[str, list[tuple[int, bytes]]]:
    found: dict[str, list[tuple[int, bytes]]] = {}
    with Reader(bag) as reader:
        for connection, time_ns, data in reader.messages(reader.connections):
            found.setdefault(connection.topic, []).append((time_ns, bytes(data)))
    return found
