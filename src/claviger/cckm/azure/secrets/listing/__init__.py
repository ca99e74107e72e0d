"""GET /secrets: filters, sorting and paging over as many secrets as there may be (Azure contract §5.5)."""

from claviger.cckm.azure.secrets.listing.filters import FILTERS
from claviger.cckm.azure.secrets.listing.pages import SecretLists

__all__ = ["FILTERS", "SecretLists"]
