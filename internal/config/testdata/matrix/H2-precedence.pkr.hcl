# args: -var-file=files/vars.json -var-file=files/later.json -var list=["c"] -var color=cli
variable "color" { default = "d" }
variable "n" { default = 1 }
variable "list" {
  type    = list(string)
  default = ["a", "b"]
}
variable "from_pkr" {}
variable "from_tfbake" {}
source "ncloud" "x" {
  server_image_product_code = "SPSW0LINUX000130"
}
build {
  sources = ["source.ncloud.x"]
  provisioner "shell" { inline = concat(["${var.color} ${var.n} ${var.from_pkr} ${var.from_tfbake}"], var.list) }
}
