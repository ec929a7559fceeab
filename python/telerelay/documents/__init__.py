"""Computer documents, freshness stamps and revocation lists as the node keeps and serves them."""
