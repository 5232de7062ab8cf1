source "ncloud" "a" {
  server_image_product_code = "SPSW0LINUX000130"
  server_imag_name          = "x"
  block {
    a = 1
  }
}
source "ncloud" "a" {}
source "ncloud" "unused" { region = 1 + }
