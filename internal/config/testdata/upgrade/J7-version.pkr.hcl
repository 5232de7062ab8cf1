packer {
  required_version = ">= 2.0.0"
}

source "ncloud" "ncloud" {
  server_image_product_code = "SPSW0LINUX000130"
}

build {
  sources = ["source.ncloud.ncloud"]
}
# notes:
# 
