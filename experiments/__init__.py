"""An ablation study of transformers: what is asked, training, results and the command line."""
