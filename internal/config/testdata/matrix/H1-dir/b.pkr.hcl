build {
  sources = ["source.ncloud.web", "ncloud.json"]
  provisioner "shell" { inline = ["echo ${var.color} ${var.size} ${local.x}"] }
}
