welcome to ${name}
%{ for e in list }- ${e}
%{ endfor }