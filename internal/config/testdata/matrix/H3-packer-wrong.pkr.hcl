packer {
  required_version = "~> 0.1"
  required_plugin {}
}
packer { required_version = "x.y" }
source "ncloud" "x" {
  server_image_product_code = "SPSW0LINUX000130"
}
build { sources = ["source.ncloud.x"] }
