source "ncloud" "ncloud" {
  server_image_product_code = "SPSW0LINUX000130"
  communicator              = "winrm"
  access_control_group_no   = "1"
}

build {
  sources = ["source.ncloud.ncloud"]

  provisioner "powershell" {
    inline = ["$Env:SystemRoot\\System32\\Sysprep\\Sysprep.exe /oobe /generalize /shutdown /quiet \"/unattend:C:\\Program Files (x86)\\NBP\\nserver64.xml\" "]
  }

  provisioner "powershell" {
    script            = "files/a.sh"
    elevated_user     = "Administrator"
    elevated_password = build.WinRMPassword
    execution_policy  = "RemoteSigned"
    use_pwsh          = true
    debug_mode        = 1
    environment_vars  = ["A=1"]
  }

  provisioner "windows-shell" {
    inline = ["dir"]
  }

  provisioner "windows-restart" {
    restart_timeout = "15m"
    check_registry  = true
  }
}
# notes:
# 
