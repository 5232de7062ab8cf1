# args: -var-file=files/declares.pkrvars.hcl -var-file=files/broken.pkrvars.hcl -var-file=files/wrong.json -var obj={a="x"}
variable "a" { type = number }
variable "obj" {
  type = object({ a = list(number) })
}
variable "rule" {
  default = 1
  validation {
    condition     = "maybe"
    error_message = "x"
  }
  validation {
    condition = var.rule > 0
  }
  validation {
    condition     = var.nope
    error_message = "x"
  }
}
source "ncloud" "x" { server_image_product_code = "SPSW0LINUX000130" }
build { sources = ["source.ncloud.x"] }
