# args: -var-file=H1-dir/more.pkrvars.json
variable "color" { default = "red" }
variable "size" { type = number }
variable "from_pkr" { default = "default" }
variable "from_tfbake" { default = "default" }
source "ncloud" "web" {
  server_image_number      = "104630229"
  server_spec_code         = "s2-g3"
  server_image_description = "${var.from_pkr}, ${var.from_tfbake}, ${path.root} ${path.cwd}"
}
