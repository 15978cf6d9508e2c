"""exercises: questions with a hint, a solution and a check whose feedback helps; autograders count them, too.

``exercise`` is what one is, ``looking`` what checks are made of, ``telling`` what students see, ``registry`` finds an
exercise by its name; the other modules hold exercises, by subject. A check that fails raises
:class:`~tvixbuild_nb.errors.CheckFailed`, an AssertionError: that is how nbgrader and otter-grader count.
"""

from tvixbuild_nb.lab.exercises.exercise import Exercise
from tvixbuild_nb.lab.exercises.registry import check, exercise, hint, register, solution
from tvixbuild_nb.lab.exercises.telling import Feedback

__all__ = ["Exercise", "Feedback", "check", "exercise", "hint", "register", "solution"]
