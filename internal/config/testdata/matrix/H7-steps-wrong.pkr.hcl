source "ncloud" "x" {
  server_image_product_code = "SPSW0LINUX000130"
}
build {
  sources = ["source.ncloud.x"]
  provisioner "shel" { inline = ["x"] }
  provisioner "shell" {
    inlin        = ["x"]
    pause_before = "10"
    only         = ["nosuch"]
  }
  provisioner "shell" { inline = ["${build.Hots}", "{{ build `Hots` }}", "{{uppr `x`}}", var.x] }
  provisioner "shell" {
    inline   = ["x"]
    override = "b"
    max_retries = build.Port
  }
  provisioner "shell" {
    inline = ["x"]
    env {
      A = 1
    }
  }
  provisioner "file" {
    content     = <<-EOT
      first line
      second {{user `x`}} line
    EOT
    destination = "/x"
  }
  post-processor "compress" {}
  error-cleanup-provisioner "shell" { inline = ["x"] }
  error-cleanup-provisioner "shell" { inline = ["y"] }
}
