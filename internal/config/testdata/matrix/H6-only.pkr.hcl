# args: -only=ncloud.*
source "ncloud" "a" {
  server_image_product_code = "SPSW0LINUX000130"
}
build {
  name = "bb"
  source "ncloud.a" { name = "one" }
  source "ncloud.a" { name = "two" }
}
build { sources = ["source.ncloud.a"] }
