# args: -var-file=files/vars-of-any-name
variable "color" { type = string }
variable "n" { type = number }
variable "t" { type = bool }
variable "list" { type = any }
source "ncloud" "x" {
  server_image_product_code = "SPSW0LINUX000130"
  server_image_description  = "${var.color} ${var.n} ${var.t} ${jsonencode(var.list)}"
}
build { sources = ["source.ncloud.x"] }
