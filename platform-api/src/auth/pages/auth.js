// Moves the code of a mail's link from the address into the form, and out of the history.
const code = location.hash.slice(1);
const field = document.querySelector('input[name="code"]');
if (code && field) {
  field.value = decodeURIComponent(code);
  history.replaceState(null, "", location.pathname);
}
