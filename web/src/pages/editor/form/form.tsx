interface FormProps {
  goTo: { name: string } | undefined; // a field to show; a new object shows it again
  onShow: (node: string) => void;
}

export function Form(_: FormProps) {
  return null;
}
