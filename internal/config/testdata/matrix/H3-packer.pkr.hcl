packer {
  required_version = ">= 1.7.0, < 2.0.0"
  required_plugins {
    ncloud = {
      version = ">= 0.0.1"
      source  = "github.com/hashicorp/ncloud"
    }
  }
}
source "ncloud" "x" {
  server_image_product_code = "SPSW0LINUX000130"
}
build { sources = ["source.ncloud.x"] }
