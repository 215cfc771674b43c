"""The report as one HTML file that needs no network: `reports.page.document` puts its sections together."""
