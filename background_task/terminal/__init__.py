"""The queues as a terminal shows them: ``background_task_top``.

``snapshot`` reads, ``table`` says it in words, ``text`` prints it, ``deed`` acts, and ``view`` is
the program for a terminal, which alone needs the extra ``top``.
"""
