"""What every view is made with: safe text, escaped HTML, display bundles, the live half's way to the kernel."""

from tvixbuild_nb.escaping import visible
from tvixbuild_nb.widgets.kit.forms import Bundle, Forms
from tvixbuild_nb.widgets.kit.html import Html, fragment, tag, volatile

__all__ = ["Bundle", "Forms", "Html", "fragment", "tag", "visible", "volatile"]
