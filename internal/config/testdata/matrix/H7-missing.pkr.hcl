source "ncloud" "a" {
  server_image_product_code = "SPSW0LINUX000130"
  user_data                 = "#!/bin/sh\necho {{.Name}}\n"
}
build {
  sources = ["source.ncloud.a"]
  provisioner "shell" {
    inline          = ["docker ps --format '{{.Names}}'", "docker ps --format '{{`{{.Names}}`}}'", "${build.Host} {{.Names}}"]
    env             = { A = "{{.Foo}}" }
    execute_command = "{{.Vars}} sh {{.Path}}"
  }
}
