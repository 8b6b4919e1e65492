from tests.losses.conftest import two_processes

__all__ = ["two_processes"]
