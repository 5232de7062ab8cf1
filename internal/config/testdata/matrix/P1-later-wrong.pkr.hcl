source "ncloud" "a" {
  server_image_product_code = "SPSW0LINUX000130"
}
build {
  sources = ["source.ncloud.a"]
  provisioner "shell" { inline = ["x {{foo `a`}} ${build.Host}", "{{.Names}} ${build.Host}"] }
  provisioner "shell" {
    script           = "nope-${build.Host}.sh"
    environment_vars = ["A${build.Host}", "B=${build.Host}", "C"]
  }
  provisioner "shell" {
    inline   = ["fine"]
    override = { a = { inline = ["{{bar `a`}} ${build.Host}"] } }
  }
  provisioner "shell" { scripts = [for s in ["one", "two"] : "${s}-${build.ID}.sh"] }
  provisioner "file" {
    source      = "nope-${build.ID}"
    destination = "/tmp/x"
  }
  # Only the real values can tell.
  provisioner "shell" { inline = [split(".", build.Host)[3], "{{ split `${build.Host}` `.` 3 }}"] }
}
