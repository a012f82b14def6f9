"""Pictures and pages of surfaces, routing and scores."""
