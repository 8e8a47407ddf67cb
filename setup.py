"""Build of the ament_python package; the folder names map to import names that can't collide on a robot."""

from glob import glob

from setuptools import setup

PACKAGE = 'ldfusion_ros'
ROOTS = {'ldfusion_ros': 'ldfusion_ros', 'ldfusion_models': 'models', 'ldfusion_training': 'training'}


def packages_below(import_name: str, folder: str) -> list[str]:
    """Every folder below ``folder`` that holds an ``__init__.py``, under its import name."""
    inits = glob(f'{folder}/**/__init__.py', recursive=True)
    return sorted(init.replace(folder, import_name, 1).rsplit('/', 1)[0].replace('/', '.') for init in inits)


setup(
    # Not in setup.cfg: from there setuptools makes an object of it that colcon can't read.
    python_requires='>=3.10',
    packages=[name for root, folder in ROOTS.items() for name in packages_below(root, folder)],
    # colcon build --symlink-install refuses a folder that maps to its own name.
    package_dir={name: folder for name, folder in ROOTS.items() if name != folder},
    package_data={
        'ldfusion_models': ['py.typed', 'weights/*', 'weights/text/*'],
        'ldfusion_training': ['py.typed', 'paper_tables.yaml', 'configs/*.yaml', 'configs/ablations/*.yaml'],
        'ldfusion_ros': ['py.typed', 'fastdds.xml'],
    },
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml']),
        (f'share/{PACKAGE}/launch', glob('launch/*.launch.py')),
        (f'share/{PACKAGE}/config', glob('config/*')),
    ],
)
