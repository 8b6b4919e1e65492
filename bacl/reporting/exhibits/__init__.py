"""What loggers show of an evaluation: pictures with boxes to switch, and tables to sort."""

from bacl.reporting.exhibits.evaluation_exhibits import evaluation_exhibits

__all__ = ["evaluation_exhibits"]
