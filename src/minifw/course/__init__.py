"""Exercises that grade themselves: the framework's passes, blanked out.

The door names rooms: torch is imported where something is graded.
"""

__all__ = ["apart", "exercise", "folder", "grading", "solving", "syllabus"]
