# args: -var password=hunter2 -var server={spec="s4-g3"}
variable "password" {
  type        = string
  sensitive   = true
  description = "a secret"
}
variable "server" {
  type = object({
    spec = string
    disk = optional(number, 100)
  })
  validation {
    condition     = var.server.disk % 10 == 0
    error_message = "The disk must be a multiple of 10."
  }
}
variables {
  short = "hand"
  tags  = { a = "b" }
}
variable "home" { default = env("HOME") }
source "ncloud" "x" {
  server_image_number = "104630229"
  server_spec_code    = var.server.spec
  block_storage_size  = var.server.disk
  ssh_password        = var.password
  server_image_description = "${var.short} ${var.tags.a} ${var.home} {{timestamp}}"
}
build { sources = ["source.ncloud.x"] }
