"""Networks: one file per family, pure block functions composed into builders."""
