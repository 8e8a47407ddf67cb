"""A frame on disk: what came in, what went out, and with which parameters."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import yaml

from ldfusion_models.depth_files import write_depth
from ldfusion_models.errors import InputError
from ldfusion_models.files import folder_written_whole, write_image
from ldfusion_models.rig.rig import Shot
from ldfusion_ros.messages.conversions import nanoseconds
from ldfusion_ros.parts.fusion_parameters import FusionParameters
from ldfusion_ros.parts.outputs import OutputFrame


def save_snapshot(
    folder: Path,
    shot: Shot,
    output: OutputFrame,
    parameters: FusionParameters,
    facts: Mapping[str, object],
) -> Path:
    """Write a new folder ``STAMP`` into ``folder``, whole or not at all; returns its path.

    ``visible.png`` and ``thermal.png`` (``.tiff`` of temperatures and signed counts) as they came in, without that of a
    camera that is lost, ``fused.png``, ``depth.png`` in millimetres (16 bits, 0 unknown, 65535 beyond that),
    ``depth.npy`` in metres, and ``frame.yaml`` with stamp, frame, camera, parameters, and ``facts``, which say what
    engine and weights are in place.

    Raises:
        InputError: it exists already, or can't be written.
    """
    frame = output.frame
    stamp_ns = nanoseconds(output.header.stamp)
    path = folder / str(stamp_ns)
    description = {
        'stamp_ns': stamp_ns,
        'frame_id': output.header.frame_id,
        'camera': asdict(frame.camera) if frame.camera else None,
        'parameters': asdict(parameters),
        'facts': {name: str(fact) for name, fact in facts.items()},
    }
    try:
        with folder_written_whole(path) as unfinished:
            for name, image in (('visible', shot.visible), ('thermal', shot.thermal)):
                if image is not None:
                    # PNG holds neither signs nor floats.
                    suffix = 'png' if image.dtype in (np.uint8, np.uint16) else 'tiff'
                    write_image(unfinished / f'{name}.{suffix}', image)
            write_image(unfinished / 'fused.png', frame.fused)
            write_depth(unfinished, 'depth', frame.depth)
            np.save(unfinished / 'depth.npy', frame.depth)
            (unfinished / 'frame.yaml').write_text(yaml.safe_dump(description, sort_keys=False))
    except OSError as error:
        raise InputError(f'{path}: cannot write there ({error.strerror or error})') from error
    return path
