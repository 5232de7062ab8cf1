variable "os" {
  type    = string
  default = env("HOME")
}

variable "x" {
  type    = string
  default = "A-b_C"
}

source "ncloud" "web" {
  server_image_product_code = "SPSW0LINUX000130"
  server_image_description  = "${source.name} ${source.type} ${legacy_isotime()} ${legacy_isotime("2006-01-02")} {{timestamp}} ${legacy_strftime("%Y-%m-%d %H:%M:%S %j")} ${split("-", "a-b-c")[1]} ${upper(var.x)} ${lower("ABC")} {{replace `a` `b` 1 `aaa`}} ${replace("aaa", "a", "b")} ${packer.version} {{clean_resource_name `Web Server_1!`}} ${var.x == "A-b_C" ? "yes" : "no"} {{len `abc`}} {{printf \"%03d\" 7}} {{index (slice `abc` 1) 0}} {{or `` `z`}}"
}

build {
  sources = ["source.ncloud.web"]

  provisioner "shell" {
    inline = [
      "cd ${abspath(path.root)} ${path.cwd} {{`{{`}}literal}}",
      "${build.Host}:${build.Port} ${build.User} ${build.SourceImageName}",
    ]
  }
}
# notes:
# 
