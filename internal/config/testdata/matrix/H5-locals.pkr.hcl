locals {
  c = "${local.b}-c"
  a = "a"
}
locals {
  b     = "${local.a}-${data.null.n.output}"
  list  = [for k in ["x", "y"] : upper(k)]
  whole = { for k, v in { p = 1, q = 2 } : k => v * 2 }
}
locals {
  lookup = lookup(local, "a", "none")
}
local "token" {
  expression = "secret-${local.c}"
  sensitive  = true
}
data "null" "n" { input = "${local.a}-data" }
data "ncloud-image" "base" {
  name        = "ubuntu-22.04"
  most_recent = true
  os          = local.a
}
source "ncloud" "x" {
  server_image_number      = data.ncloud-image.base.number
  server_image_description = "${local.c} ${jsonencode(local.list)} ${local.whole["q"]} ${data.ncloud-image.base.asked.os}"
}
build {
  sources = ["source.ncloud.x"]
  provisioner "shell" {
    environment_vars = ["TOKEN=${local.token}"]
    inline           = ["x"]
  }
}
