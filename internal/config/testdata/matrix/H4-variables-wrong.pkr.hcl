# args: -var nmae=x -var count=many -var list=a,b -var size=15
variable "need" { type = string }
variable "name" { default = local.x }
variable "count" { type = number }
variable "list" { type = list(string) }
variable "obj" {
  type    = object({ a = number })
  default = { a = "x" }
}
variable "name" {}
variable "other" { default = var.need }
variable "size" {
  type = number
  validation {
    condition     = var.size % 10 == 0
    error_message = "Multiples of 10 only, not ${var.size}."
  }
}
variable "bad" {
  typ     = string
  default = envv("HOME")
}
locals { x = 1 }
source "ncloud" "x" {
  server_image_product_code = "SPSW0LINUX000130"
}
build { sources = ["source.ncloud.x"] }
