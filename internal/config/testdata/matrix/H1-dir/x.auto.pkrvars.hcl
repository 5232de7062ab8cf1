color = "auto"
