// When one of the tasks on the page has ended, show what the library holds now.
// The progress bars themselves are kept up to date by a script of background_task.
document.addEventListener("background-task:finished", async () => {
  const shown = document.getElementById("holdings");
  if (shown) {
    const response = await fetch(shown.dataset.url);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    document.getElementById("holdings").replaceWith(page.getElementById("holdings"));
  }
});
