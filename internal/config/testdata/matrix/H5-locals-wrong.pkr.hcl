locals {
  a = local.b
  b = "${local.c}"
  c = data.null.n.output
  d = local.nope
  e = vra.x
  f = path.rot
  g = source.name
  h = upper(1, 2)
  i = uper("x")
  j = "${build.Host}"
}
locals { a = 1 }
data "null" "n" { input = local.a }
data "ncloud-imag" "x" {}
data "ncloud-image" "none" { name = "nothing" }
source "ncloud" "x" {
  server_image_product_code = "SPSW0LINUX000130"
}
build { sources = ["source.ncloud.x"] }
