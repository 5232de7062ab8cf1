source "ncloud" "a" {
  for_each                  = ["x", "x"]
  server_image_product_code = "SPSW0LINUX000130"
}
source "ncloud" "b" {
  for_each                  = 3
  server_image_product_code = "SPSW0LINUX000130"
}
source "ncloud" "c" {
  server_image_product_code = each.value
}
build { sources = ["source.ncloud.a", "source.ncloud.b", "source.ncloud.c"] }
