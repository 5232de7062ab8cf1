source "ncloud" "a" {
  server_image_product_code = "SPSW0LINUX000130"
}
build {
  name = "bb"
  source "ncloud.a" { name = "one" }
  source "ncloud.a" { name = "two" }
  provisioner "shell" { inline = ["build {{build_name}}, source ${source.name}"] }
  provisioner "shell" {
    only     = ["ncloud.one"]
    inline   = ["on one"]
    override = { one = { inline = ["overridden"] } }
  }
  # Packer compares only and except with TYPE.NAME and override with NAME; what follows runs nowhere, or everywhere.
  provisioner "shell" {
    only   = ["one", "ncloud.a", "bb.ncloud.one"]
    inline = ["nowhere"]
  }
  provisioner "shell" {
    except   = ["two"]
    inline   = ["everywhere"]
    override = { "ncloud.two" = { inline = ["never"] }, a = { inline = ["never"] } }
  }
  post-processor "manifest" { only = ["two"] }
}
