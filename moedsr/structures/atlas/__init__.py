"""The public ATLAS database of molecular-dynamics ensembles: its entries, and how they come here."""
