# -var override=cli -var need=given -var extra=yes -var-file=files/vars.json -var-file=files/later.json
variable "home" {
  type    = string
  default = env("HOME")
}

variable "c" {
  type    = string
  default = "c"
}

variable "need" {
  type      = string
  sensitive = true
}

variable "override" {
  type    = string
  default = "default"
}

variable "color" {
  type    = string
  default = "default"
}

variable "n" {
  type    = string
  default = 5
}

variable "flag" {
  type    = string
  default = true
}

variable "from_tfbake" {
  type    = string
  default = "default"
}

local "a" {
  expression = "${local.b}/a"
}

local "b" {
  expression = "${var.c}/b"
}

local "later" {
  # {{env `HOME`}} has no counterpart in HCL2: rewrite it
  expression = "{{env `HOME`}} {{.Vars}} ${var.c}"
}

source "ncloud" "ncloud" {
  server_image_product_code = "SPSW0LINUX000130"
  server_image_description  = "${local.a} ${var.home} ${var.override} ${var.extra} ${var.n} ${var.flag} ${var.color} ${var.from_tfbake}"
}

build {
  sources = ["source.ncloud.ncloud"]
}

variable "extra" {
  type    = string
  default = ""
}
# notes:
# line 5: the variable a is made of others and became a local: -var a=… no longer sets it
# line 6: the variable b is made of others and became a local: -var b=… no longer sets it
# line 14: the variable later is made of others and became a local: -var later=… no longer sets it
# line 14: {{env `HOME`}} has no counterpart in HCL2: rewrite it
# the variable extra is used and not declared: in HCL2 it has to be
