"""Build of the ament_python package; packages lie in three folders, under the names that they are imported by."""

from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = 'ldfusion_ros'
FLOORS = {'ldfusion_models': 'models', 'ldfusion_training': 'training'}
# Data that lies beside its package in the checkout and is installed into it. `colcon build --symlink-install` builds
# where only the packages are linked; there the checkout's own folders are found.
BESIDE = {'ldfusion_models.weights': 'models/weights', 'ldfusion_training.configs': 'training/configs'}
DATA = {name: folder for name, folder in BESIDE.items() if Path(folder).is_dir()}

setup(
    # Not in setup.cfg: from there setuptools makes an object of it that colcon can't read.
    python_requires='>=3.10',
    packages=[
        *find_packages(include=[f'{PACKAGE}*']),
        *(name for folder in FLOORS.values() for name in find_packages(folder)),
        *DATA,
    ],
    package_dir={name: f'{folder}/{name}' for name, folder in FLOORS.items()} | DATA,
    package_data={
        'ldfusion_models': ['py.typed'],
        'ldfusion_models.weights': ['*', 'text/*'],
        'ldfusion_training': ['py.typed'],
        'ldfusion_training.bag_evaluation': ['templates/*'],
        'ldfusion_training.configs': ['*.yaml', 'ablations/*.yaml'],
        'ldfusion_training.benchmark': ['published_models.yaml'],
        'ldfusion_training.evaluation': ['paper_tables.yaml'],
        'ldfusion_training.language': ['real_pairs.json'],
        'ldfusion_ros': ['py.typed', 'fastdds.xml'],
    },
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml']),
        (f'share/{PACKAGE}/launch', glob('launch/*.launch.py')),
        (f'share/{PACKAGE}/config', glob('config/*.*')),
        (f'share/{PACKAGE}/config/cameras', glob('config/cameras/*')),
        (f'share/{PACKAGE}/config/examples', glob('config/examples/*')),
    ],
)
