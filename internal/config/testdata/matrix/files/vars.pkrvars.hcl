a = "KR"
list = ["x"]
bad = var.x
