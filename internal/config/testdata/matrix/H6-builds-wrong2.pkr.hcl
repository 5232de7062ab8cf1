source "ncloud" "a" {
  server_image_product_code = "SPSW0LINUX000130"
  server_imag_name          = "x"
  region                    = var.region
  block {
    a = 1
  }
}
source "ncloud" "a" {}
source "amazon-ebs" "aws" { ami = "x" }
build { sources = ["source.ncloud.aa", "a", 3, "source.amazon-ebs.aws"] }
build {
  source "ncloud.a" { sit = "public" }
}
build {
  sources = "source.ncloud.a"
  provisoner "shell" {}
}
build { sources = ["source.ncloud.a", "source.ncloud.a"] }
buld {}
